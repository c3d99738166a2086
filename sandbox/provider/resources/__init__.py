"""The resource types that the sandbox's provider has, one module for each of Google's services."""
