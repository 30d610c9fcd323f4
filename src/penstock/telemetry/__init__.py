"""Telemetry: what the relay has seen, as OpenTelemetry's traces and metrics. The SDK is imported only when it is asked for."""
