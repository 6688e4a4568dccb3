"""HTTP and CGI rules, without I/O."""
