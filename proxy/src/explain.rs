//! `hopscope explain`: what an old generator result alone can and cannot say.
