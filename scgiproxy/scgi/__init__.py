"""The SCGI codec, without I/O: the request block, and the CGI response parser."""
