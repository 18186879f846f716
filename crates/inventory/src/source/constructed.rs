//! `plugin: constructed`.

use crate::error::InventoryError;
use crate::model::Inventory;
use quorate_yaml::Node;

/// Not written yet: says so.
pub(super) fn apply(_inventory: &mut Inventory, root: &Node) -> Vec<InventoryError> {
    vec![InventoryError::Plugin {
        span: root.span,
        name: "constructed".into(),
        problem: "cannot be read yet".into(),
    }]
}
