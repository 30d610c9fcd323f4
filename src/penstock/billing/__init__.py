"""Billing: what each request cost, held before it and durable before its last byte."""
