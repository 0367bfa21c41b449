"""How fast, and by what: beside others, beside other versions of this server, and part by part."""
