"""Exports of an adapter: a merged model, its card, GGUF files, the Hub."""
