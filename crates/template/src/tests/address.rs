//! `ansible.utils`: tests about addresses.

use super::{Test, test};
use crate::addresses::{Net, hardware};
use crate::error::Result;
use crate::eval::{Args, Vm};
use crate::rt::V;

pub(super) static TESTS: [Test; 23] = [
    test("ansible.utils.in_any_network", in_any_network),
    test("ansible.utils.in_network", in_network),
    test("ansible.utils.in_one_network", in_one_network),
    test("ansible.utils.ip", ip),
    test("ansible.utils.ip_address", ip_address),
    test("ansible.utils.ipv4", ipv4),
    test("ansible.utils.ipv4_address", ipv4_address),
    test("ansible.utils.ipv4_hostmask", ipv4_hostmask),
    test("ansible.utils.ipv4_netmask", ipv4_netmask),
    test("ansible.utils.ipv6", ipv6),
    test("ansible.utils.ipv6_address", ipv6_address),
    test("ansible.utils.ipv6_ipv4_mapped", ipv6_ipv4_mapped),
    test("ansible.utils.ipv6_sixtofour", ipv6_sixtofour),
    test("ansible.utils.ipv6_teredo", ipv6_teredo),
    test("ansible.utils.loopback", loopback),
    test("ansible.utils.mac", mac),
    test("ansible.utils.multicast", multicast),
    test("ansible.utils.private", private),
    test("ansible.utils.public", public),
    test("ansible.utils.reserved", reserved),
    test("ansible.utils.subnet_of", subnet_of),
    test("ansible.utils.supernet_of", supernet_of),
    test("ansible.utils.unspecified", unspecified),
];

fn parse(vm: &Vm, value: Option<V>) -> Result<Option<(Net, bool)>> {
    Ok(Net::parse(&vm.to_text(&value.unwrap_or(V::Null))?))
}

/// The one address a test is about.
fn only(vm: &Vm, args: Args) -> Result<Option<(Net, bool)>> {
    let [value] = args.bind("ip", ["ip"], 1)?;
    parse(vm, value)
}

fn address(vm: &Vm, args: Args, holds: fn(Net) -> bool) -> Result<bool> {
    Ok(only(vm, args)?.is_some_and(|(net, written)| !written && holds(net)))
}

fn ip(vm: &Vm, args: Args) -> Result<bool> {
    Ok(only(vm, args)?.is_some())
}

fn ipv4(vm: &Vm, args: Args) -> Result<bool> {
    Ok(only(vm, args)?.is_some_and(|(net, _)| !net.v6))
}

fn ipv6(vm: &Vm, args: Args) -> Result<bool> {
    Ok(only(vm, args)?.is_some_and(|(net, _)| net.v6))
}

fn ip_address(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, |_| true)
}

fn ipv4_address(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, |net| !net.v6)
}

fn ipv6_address(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, |net| net.v6)
}

fn ipv4_netmask(vm: &Vm, args: Args) -> Result<bool> {
    let [mask] = args.bind("ipv4_netmask", ["mask"], 1)?;
    let mask = vm.to_text(&mask.unwrap_or(V::Null))?;
    let ones = |(mask, _): (Net, bool)| {
        !mask.v6 && mask.ip == crate::addresses::mask_of(mask.ip.count_ones() as u8, 32)
    };
    Ok(Net::parse(&mask).is_some_and(ones))
}

fn ipv4_hostmask(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, |net| !net.v6 && (net.ip + 1).is_power_of_two())
}

fn ipv6_ipv4_mapped(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, |net| net.v6 && net.ip >> 32 == 0xffff)
}

fn ipv6_sixtofour(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, |net| net.v6 && net.ip >> 112 == 0x2002)
}

fn ipv6_teredo(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, |net| net.v6 && net.ip >> 96 == 0x2001_0000)
}

fn loopback(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, Net::is_loopback)
}

fn multicast(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, Net::is_multicast)
}

fn private(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, Net::is_private)
}

fn public(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, Net::is_public)
}

fn reserved(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, Net::is_reserved)
}

fn unspecified(vm: &Vm, args: Args) -> Result<bool> {
    address(vm, args, |net| net.ip == 0)
}

fn mac(vm: &Vm, args: Args) -> Result<bool> {
    let [value] = args.bind("mac", ["mac"], 1)?;
    Ok(hardware(&vm.to_text(&value.unwrap_or(V::Null))?).is_some())
}

fn two(vm: &Vm, args: Args) -> Result<Option<(Net, Net)>> {
    let [a, b] = args.bind("in_network", ["ip", "network"], 2)?;
    Ok(parse(vm, a)?.zip(parse(vm, b)?).map(|((a, _), (b, _))| (a, b)))
}

fn in_network(vm: &Vm, args: Args) -> Result<bool> {
    Ok(two(vm, args)?.is_some_and(|(ip, network)| network.contains(ip)))
}

fn subnet_of(vm: &Vm, args: Args) -> Result<bool> {
    Ok(two(vm, args)?.is_some_and(|(part, whole)| whole.contains(part)))
}

fn supernet_of(vm: &Vm, args: Args) -> Result<bool> {
    Ok(two(vm, args)?.is_some_and(|(whole, part)| whole.contains(part)))
}

/// How many of the networks hold the address.
fn count(vm: &Vm, args: Args) -> Result<usize> {
    let [ip, networks] = args.bind("in_any_network", ["ip", "networks"], 2)?;
    let Some((ip, _)) = parse(vm, ip)? else { return Ok(0) };
    let mut count = 0;
    for network in vm.iterate(&networks.unwrap_or(V::Null))? {
        count += usize::from(parse(vm, Some(network))?.is_some_and(|(network, _)| network.contains(ip)));
    }
    Ok(count)
}

fn in_any_network(vm: &Vm, args: Args) -> Result<bool> {
    Ok(count(vm, args)? > 0)
}

fn in_one_network(vm: &Vm, args: Args) -> Result<bool> {
    Ok(count(vm, args)? == 1)
}
