//! `hopscope doctor`: what works here, and the remedy for what does not.
