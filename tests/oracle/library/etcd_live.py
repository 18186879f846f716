#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Stand-in for Quorate's etcd_live, so that the shipped roles can be run by ansible-core for comparison.

Runs on the host itself: unit, processes and data are looked at there; the endpoint counts as answering when
a TLS handshake with it succeeds. Changes nothing.
"""
import glob
import os
import socket
import ssl
import subprocess
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule


def answers(url):
    """Whether somebody speaks TLS there. A refused port is a plain no; silence is None."""
    place = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((place.hostname, place.port), timeout=2) as plain:
            with context.wrap_socket(plain):
                return True
    except (ConnectionRefusedError, ConnectionResetError):
        return False
    except ssl.SSLError:
        return True
    except OSError as error:
        return False if error.errno in (99, 101, 113) else None


def unit_state(unit):
    if not os.path.isdir('/run/systemd/system'):
        return 'inactive'
    shown = subprocess.run(['systemctl', 'show', '-p', 'ActiveState', '--value', unit],
                           capture_output=True, text=True)
    return shown.stdout.strip() or 'inactive'


def holders(data):
    """Processes that have files below the data directory open."""
    found = []
    for fd in glob.glob('/proc/[0-9]*/fd/*'):
        try:
            if os.readlink(fd).startswith(os.path.join(data, 'member') + '/'):
                found.append(fd.split('/')[2])
        except OSError:
            pass
    return sorted(set(found), key=int)


def main():
    text = {'type': 'str', 'required': True}
    path = {'type': 'path', 'required': True}
    module = AnsibleModule({'endpoint': text, 'peer': text, 'process': {'type': 'dict', 'default': {}}, 'data': path,
                            'ca': {'type': 'str'}, 'cert': {'type': 'str'},
                            'key': {'type': 'str', 'no_log': False}}, supports_check_mode=True)
    args = module.params
    why, unknown = [], False
    for url in (args['endpoint'], args['peer']):
        answer = answers(url)
        unknown = unknown or answer is None
        if answer:
            why.append('%s answers' % url)
    unit = (args['process'] or {}).get('name') or 'etcd'
    state = unit_state(unit)
    if state not in ('inactive', 'failed'):
        why.append('unit %s is %s' % (unit, state))
    pids = holders(args['data'])
    if pids:
        why.append('process %s has %s open' % (', '.join(pids), args['data']))
    live = bool(why)
    wal = bool(glob.glob(os.path.join(args['data'], 'member/wal/*.wal')))
    snap = os.path.exists(os.path.join(args['data'], 'member/snap/db'))
    if wal:
        why.append('%s holds a write-ahead log' % args['data'])
    elif snap:
        why.append('%s holds a database without a log' % args['data'])
    verdict = ('live' if live else 'unknown' if unknown else 'dormant' if wal else
               'remnant' if snap else 'absent')
    module.exit_json(changed=False, live=live, verdict=verdict, wal=wal, why=why,
                     process={'runtime': 'systemd', 'own': True})


main()
