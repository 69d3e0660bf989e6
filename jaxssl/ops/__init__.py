"""Pure mathematics that two or more methods use."""
