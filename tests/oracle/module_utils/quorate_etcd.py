# SPDX-License-Identifier: Apache-2.0
"""What the stand-ins share: a cluster, read through each member's JSON gateway."""
import json
import os
import ssl
import urllib.request
from concurrent.futures import ThreadPoolExecutor

TLS = {'ca': {'type': 'path', 'required': True}, 'cert': {'type': 'path', 'required': True},
       'key': {'type': 'path', 'required': True, 'no_log': False}}


def context(args):
    """None while there is no certificate yet: then nobody can be asked."""
    if not all(os.path.exists(args[name]) for name in ('ca', 'cert', 'key')):
        return None
    made = ssl.create_default_context(cafile=args['ca'])
    made.load_cert_chain(args['cert'], args['key'])
    return made


def call(tls, endpoint, path, body, timeout=3):
    request = urllib.request.Request(endpoint + path, json.dumps(body).encode(),
                                     {'Content-Type': 'application/json'})
    with urllib.request.urlopen(request, timeout=timeout, context=tls) as answer:
        return json.load(answer)


def hexed(decimal):
    return '%x' % int(decimal)


def look(tls, endpoint):
    """One member's view: itself, its leader, its list, and whether it can read linearizably now."""
    if tls is None:
        return {'error': 'no operator certificate yet'}
    try:
        status = call(tls, endpoint, '/v3/maintenance/status', {})
    except Exception as error:                           # every way of not answering is the same answer
        return {'error': str(error)}
    seen = {'id': hexed(status['header']['member_id']), 'cluster': hexed(status['header']['cluster_id']),
            'leader': hexed(status.get('leader', 0)), 'learner': status.get('isLearner', False),
            'healthy': False, 'members': None}
    try:
        listed = call(tls, endpoint, '/v3/cluster/member/list', {})
        seen['members'] = [{'id': hexed(m['ID']), 'name': m.get('name', ''), 'peer_urls': m.get('peerURLs', []),
                            'client_urls': m.get('clientURLs', []), 'learner': m.get('isLearner', False),
                            'started': bool(m.get('name'))} for m in listed['members']]
        call(tls, endpoint, '/v3/kv/range', {'key': 'aGVhbHRo', 'limit': 1, 'keys_only': True})
        seen['healthy'] = True
    except Exception as error:
        seen['trouble'] = str(error)
    return seen


def observe(args, members):
    tls = context(args)
    with ThreadPoolExecutor(max_workers=8) as pool:
        views = dict(zip(members, pool.map(lambda m: look(tls, members[m]['endpoint']), members)))
    return views


def summary(views, members):
    """The observation that etcd_info returns."""
    said = {host: view for host, view in views.items() if 'error' not in view}
    ids = sorted({view['cluster'] for view in said.values()})
    lists = [view['members'] for view in said.values() if view['members'] is not None]
    listed = max(lists, key=len) if lists else []
    healthy = {view['id'] for view in said.values() if view['healthy']}
    leaders = sorted({view['leader'] for view in said.values()} - {'0'})
    for member in listed:
        member['healthy'] = member['id'] in healthy
    why = ['%s %s' % (host, 'does not answer' if host not in said else
                      'answers' if said[host]['healthy'] else 'answers, without a quorum')
           for host in views]
    return {'live': bool(said), 'cluster_id': ids[0] if len(ids) == 1 else '', 'cluster_ids': ids,
            'leader': leaders[0] if len(leaders) == 1 else '', 'members': listed, 'why': why}
