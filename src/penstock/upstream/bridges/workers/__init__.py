"""What the bridges to Workers AI are made of: its requests, answers, streams and errors, put right."""
