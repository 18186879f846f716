//! `wakeonlan`: the packet that wakes a machine up.

use crate::args::Args;
use crate::module::{Ctx, Failure, Module, Outcome};
use crate::spec::{Param, Spec};
use std::net::UdpSocket;

/// The `wakeonlan` module.
pub struct Wakeonlan;

static SPEC: Spec = Spec::new("wakeonlan", "Sends a magic packet that wakes a machine up.")
    .collection("community.general")
    .params(&[
        Param::str("mac").required().doc("The machine's hardware address."),
        Param::str("broadcast").default_str("255.255.255.255").doc("Where the packet goes."),
        Param::int("port").default_int(7).doc("The UDP port."),
    ])
    .world();

impl Module for Wakeonlan {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn run(&self, args: &Args, ctx: &Ctx) -> Result<Outcome, Failure> {
        let mac = args.text("mac");
        let mut digits = mac.to_owned();
        if mac.len() == 17 {
            let between = &mac[2..3];
            digits = mac.replace(between, "");
        }
        if digits.len() != 12 {
            return Err(Failure::new(format!("Incorrect MAC address length: {mac}")));
        }
        let number = u64::from_str_radix(&digits, 16)
            .map_err(|_| Failure::new(format!("Incorrect MAC address format: {mac}")))?;
        let mut packet = vec![0xff; 6];
        for _ in 0..16 {
            packet.extend(&number.to_be_bytes()[2..]);
        }
        if !ctx.check {
            let (host, port) = (args.text("broadcast"), args.int("port").unwrap_or(7) as u16);
            UdpSocket::bind("0.0.0.0:0")
                .and_then(|socket| {
                    socket.set_broadcast(true)?;
                    socket.send_to(&packet, (host, port))
                })
                .map_err(|error| Failure::new(crate::system::process::errno(&error)))?;
        }
        Ok(Outcome::changed())
    }
}
