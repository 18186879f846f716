//! Inventories as their users see them: files in, hosts and variables out.

mod loading;
