//! `-i host1,host2:2222` and, with ranges, `-i web[1:3],db`.
//!
//! A range that is nearly right is taken for a name, as Ansible does, with a warning.

use super::hosts_of_entry;
use crate::error::{InventoryError, Warning};
use crate::model::Inventory;
use crate::range::{RangeError, split_port};
use quorate_value::{FileId, Span};
use std::path::Path;
use std::sync::Arc;

/// Adds the hosts of a list to `ungrouped`.
pub(super) fn apply(inventory: &mut Inventory, text: &str, ranges: bool) -> Vec<InventoryError> {
    let file = FileId::register(Path::new("<inventory list>"), Arc::from(text));
    let mut errors = Vec::new();
    let ungrouped = inventory.ungrouped();
    let mut column = 1;
    for entry in text.split(',') {
        let blank = entry.chars().take_while(|c| c.is_whitespace()).count() as u32;
        let span = Span::new(file, 1, column + blank);
        column += entry.chars().count() as u32 + 1;
        let entry = entry.trim();
        if entry.is_empty() {
            continue;
        }
        let expanded = if ranges {
            hosts_of_entry(entry, span)
        } else {
            let (host, port) =
                split_port(entry).filter(|(host, _)| !host.contains('[')).unwrap_or((entry, None));
            Ok((vec![host.to_owned()], port))
        };
        let expanded = match expanded {
            Err(InventoryError::Range {
                problem:
                    problem @ (RangeError::NoEnd | RangeError::Width | RangeError::Backwards | RangeError::Form),
                ..
            }) => {
                inventory.warnings.push(Warning::RangeAsName { name: entry.to_owned(), span, problem });
                Ok((vec![entry.to_owned()], None))
            }
            other => other,
        };
        match expanded {
            Ok((hosts, port)) => {
                for host in hosts {
                    // Here the first entry of a host counts, as in Ansible.
                    if inventory.hosts.contains_key(host.as_str()) {
                        continue;
                    }
                    inventory.declare_host(&host, ungrouped, port, span);
                }
            }
            Err(error) => errors.push(error),
        }
    }
    errors
}
