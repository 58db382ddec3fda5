"""HTTP to providers: pooled connections, responses, multipart bodies, deadlines down to the socket."""
