"""Apache httpd and the gateway, with the same configuration and the same requests.

`cases` has what is asked, as data, and `differences` every way in which the gateway means to
differ. `site` writes the configuration that both get, `sides` starts them, `observation` runs a
case against one of them and says what the client got and what the backend was told. A case passes
when the facts are the same on both sides, or differ in the way it says and in no other.
"""
