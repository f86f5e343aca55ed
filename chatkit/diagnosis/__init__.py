"""Causes out of evidence: findings, rules, survival and the limits of known infrastructure; pure."""
