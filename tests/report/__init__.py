"""Tests of hpsearch.report."""
