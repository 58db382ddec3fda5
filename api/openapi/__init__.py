"""What the server says of itself: the OpenAPI document and its code samples."""
