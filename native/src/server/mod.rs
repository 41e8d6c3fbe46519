//! Listening, accepting, admitting.
