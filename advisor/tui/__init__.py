"""The full-screen face: it asks the service, and shows the documents that it answers. It computes nothing itself."""
