"""What must hold under hostile clients, killed processes, damaged messages and faulty applications."""
