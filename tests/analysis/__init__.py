"""Tests of hpsearch.analysis."""
