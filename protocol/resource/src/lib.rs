//! Resource kinds, their fields, defaults and validation.
