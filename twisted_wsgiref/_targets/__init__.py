"""What a request can be answered by, besides the application. Called in the reactor's thread."""
