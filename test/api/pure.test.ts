import assert from 'node:assert/strict';
import { codeOf } from '../../base/errors.ts';
import type { Json } from '../../base/parse.ts';
import type { Endpoint } from '../../runtime/network/contract.ts';
import { parseNetworkRequest, warningOf } from '../../api/convert/network.ts';
import { expandPorts, portMapOf } from '../../api/convert/ports.ts';
import { parseBind } from '../../api/convert/container-mounts.ts';
import { goTime, humanDuration, parseTimestampNs, ZERO_TIME } from '../../api/convert/time.ts';
import { DetachScanner, parseDetachKeys } from '../../api/detach-keys.ts';
import { matchesName, parseFilters } from '../../api/filters.ts';
import { Router } from '../../api/router.ts';
import { frame } from '../../api/stdio-frames.ts';
import { isBefore } from '../../api/versions.ts';

const refused = (work: () => unknown, pattern: RegExp): void =>
  assert.throws(work, (error: Error) => codeOf(error) === 'invalid' && pattern.test(error.message));

describe('routes', () => {
  const router = new Router<string>();
  router.add('GET', '/images/json', 'list');
  router.add('GET', '/images/{name...}/json', 'inspect');
  router.add('GET', '/images/get', 'save many');
  router.add('GET', '/images/{name...}/get', 'save one');
  router.add('DELETE', '/images/{name...}', 'remove');
  router.add('GET', '/containers/{id}/json', 'container');

  for (const [method, path, handler, params] of [
    ['GET', '/images/json', 'list', {}],
    ['GET', '/images/busybox/json', 'inspect', { name: 'busybox' }],
    ['GET', '/images/reg.example:5000/team/app:1.2/json', 'inspect', { name: 'reg.example:5000/team/app:1.2' }],
    ['GET', '/images/team%2Fapp/json', 'inspect', { name: 'team/app' }],
    ['GET', '/images/json/json', 'inspect', { name: 'json' }],
    ['GET', '/images/get', 'save many', {}],
    ['GET', '/images/a/b/get', 'save one', { name: 'a/b' }],
    ['DELETE', '/images/a/b', 'remove', { name: 'a/b' }],
    ['GET', '/containers/x/json', 'container', { id: 'x' }],
    ['GET', '/containers/x/y/json', undefined, {}],
    ['GET', '/containers//json', undefined, {}],
    ['POST', '/images/json', undefined, {}],
    ['GET', '/', undefined, {}],
  ] as const) {
    it(`finds ${handler ?? 'nothing'} at ${method} ${path}`, () => {
      const match = router.find(method, path);
      assert.equal(match?.handler, handler);
      if (match) assert.deepEqual(match.params, params);
    });
  }
});

describe('versions', () => {
  for (const [a, b, before] of [
    ['1.9', '1.10', true],
    ['1.51', '1.51', false],
    ['1.51', '1.9', false],
    ['1', '1.0', false],
    ['1', '1.1', true],
    ['2.0', '1.51', false],
  ] as const) {
    it(`${a} ${before ? 'is' : 'is not'} before ${b}`, () => assert.equal(isBefore(a, b), before));
  }
});

describe('filters', () => {
  it('reads both encodings', () => {
    assert.deepEqual(parseFilters('{"name":["a","b"]}', ['name']).values('name'), ['a', 'b']);
    assert.deepEqual(parseFilters('{"name":{"a":true,"b":true,"c":false}}', ['name']).values('name'), ['a', 'b']);
    assert.deepEqual(parseFilters('', ['name']).values('name'), []);
  });

  for (const [text, pattern] of [
    ['{"nme":["a"]}', /^invalid filter 'nme'$/],
    ['[]', /filters must be an object/],
    ['{', /filters is not valid JSON/],
    ['{"name":[1]}', /filters\.name must be a string/],
    ['{"name":"a"}', /filters\.name must be an object/],
  ] as const) {
    it(`refuses ${text}`, () => refused(() => parseFilters(text, ['name']), pattern));
  }

  it('matches labels: all of them, and none of the negated', () => {
    const match = (text: string): boolean => parseFilters(text, ['label', 'label!']).matchLabels({ a: '1', b: '' });
    assert.equal(match('{"label":["a"]}'), true);
    assert.equal(match('{"label":["a=1","b"]}'), true);
    assert.equal(match('{"label":["a=2"]}'), false);
    assert.equal(match('{"label":["toString"]}'), false);
    assert.equal(match('{"label!":["a=2"]}'), true);
    assert.equal(match('{"label!":["a"]}'), false);
  });

  it('takes a name for a pattern where it is one, and for a part where it is not', () => {
    assert.equal(matchesName('^/web$', '/web'), true);
    assert.equal(matchesName('we', '/web'), true);
    assert.equal(matchesName('[', 'a[b'), true);
    assert.equal(matchesName('^eb', '/web'), false);
  });
});

describe('times', () => {
  for (const [ms, text] of [
    [0, ZERO_TIME],
    [1_700_000_000_000, '2023-11-14T22:13:20Z'],
    [1_700_000_000_120, '2023-11-14T22:13:20.12Z'],
    [1_700_000_000_001, '2023-11-14T22:13:20.001Z'],
    [1_699_999_200_000, '2023-11-14T22:00:00Z'],
  ] as const) {
    it(`writes ${ms} as ${text}`, () => assert.equal(goTime(ms), text));
  }

  const nowMs = 1_700_000_000_000;
  for (const [text, ns] of [
    ['', undefined],
    ['1700000000', 1_700_000_000_000_000_000n],
    ['1700000000.5', 1_700_000_000_500_000_000n],
    ['1700000000.000000001', 1_700_000_000_000_000_001n],
    ['2023-11-14T22:13:20Z', 1_700_000_000_000_000_000n],
    ['2023-11-14T22:13:20.123456789Z', 1_700_000_000_123_456_789n],
    ['2023-11-14T23:13:20+01:00', 1_700_000_000_000_000_000n],
    ['2023-11-14T22:13:20', 1_700_000_000_000_000_000n],
    ['10s', 1_699_999_990_000_000_000n],
    ['1h', 1_699_996_400_000_000_000n],
  ] as const) {
    it(`reads the time '${text}'`, () => assert.equal(parseTimestampNs(text, 'since', nowMs), ns));
  }
  it('refuses what is no time', () => refused(() => parseTimestampNs('yesterday', 'since', nowMs), /since.*yesterday/));

  for (const [ms, text] of [
    [0, 'Less than a second'],
    [1_000, '1 second'],
    [47_000, '47 seconds'],
    [60_000, 'About a minute'],
    [240_000, '4 minutes'],
    [3_600_000, 'About an hour'],
    [7_200_000, '2 hours'],
    [172_800_000, '2 days'],
    [15 * 86_400_000, '2 weeks'],
    [61 * 86_400_000, '2 months'],
    [800 * 86_400_000, '2 years'],
  ] as const) {
    it(`says ${text} for ${ms} ms`, () => assert.equal(humanDuration(ms), text));
  }
});

describe('detach keys', () => {
  it('reads the default and the forms of control keys', () => {
    assert.deepEqual([...parseDetachKeys('')], [16, 17]);
    assert.deepEqual([...parseDetachKeys('ctrl-a,x,ctrl-@,ctrl-[')], [1, 120, 0, 27]);
  });
  it('refuses an unknown key', () => refused(() => parseDetachKeys('ctrl-1'), /unknown character 'ctrl-1'/));

  for (const [name, typed, passed, detached] of [
    ['passes other keys', ['abc'], 'abc', false],
    ['sees the sequence within one piece', ['ab\x10\x11cd'], 'ab', true],
    ['sees it over two pieces', ['a\x10', '\x11'], 'a', true],
    ['gives back a broken sequence', ['\x10', 'z'], '\x10z', false],
    ['starts again at a repeated first key', ['\x10\x10\x11'], '\x10', true],
    ['holds a begun sequence back', ['a\x10'], 'a', false],
  ] as const) {
    it(name, () => {
      const scanner = new DetachScanner(parseDetachKeys(''));
      const results = typed.map((piece) => scanner.feed(Buffer.from(piece)));
      assert.equal(Buffer.concat(results.map(({ pass }) => pass)).toString(), passed);
      assert.equal(
        results.some((result) => result.detached),
        detached,
      );
    });
  }
});

describe('stdio frames', () => {
  it('put stream and length before the bytes', () => {
    assert.deepEqual([...frame('stderr', Buffer.from('hi'))], [2, 0, 0, 0, 0, 0, 0, 2, 104, 105]);
    assert.deepEqual([...frame('systemError', Buffer.from(''))], [3, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe('ports', () => {
  it('expands ranges', () => {
    assert.deepEqual(expandPorts('80'), [{ port: 80, protocol: 'tcp' }]);
    assert.deepEqual(
      expandPorts('8000-8001/UDP').map(({ port }) => port),
      [8000, 8001],
    );
  });
  for (const text of ['', 'x', '80/icmp', '0', '65536', '90-80', '80/tcp/x', '-1']) {
    it(`refuses '${text}'`, () => refused(() => expandPorts(text), /invalid (port|proto)/));
  }
});

describe('published ports', () => {
  const endpoint = (hostAddress: string, address6 = ''): Endpoint => ({
    id: 'e',
    networkId: 'n',
    networkName: 'red',
    containerId: 'c',
    sandboxPath: '',
    interfaceName: 'eth0',
    hostInterfaceName: '',
    address: '10.0.0.2',
    prefixLength: 24,
    gateway: '10.0.0.1',
    macAddress: '',
    published: [{ protocol: 'tcp', containerPort: 80, hostAddress, hostPort: 8080 }],
    ...(address6 === '' ? {} : { address6 }),
  });
  for (const [hostAddress, address6, shown] of [
    ['', '', ['0.0.0.0']],
    ['', 'fd00::2', ['0.0.0.0', '::']],
    ['0.0.0.0', 'fd00::2', ['0.0.0.0']],
    ['::', 'fd00::2', ['::']],
    ['127.0.0.1', 'fd00::2', ['127.0.0.1']],
  ] as const) {
    it(`on '${hostAddress}' of a container ${address6 === '' ? 'without' : 'with'} IPv6 are shown on ${shown.join(' and ')}`, () => {
      const bindings = portMapOf([endpoint(hostAddress, address6)], [])['80/tcp'];
      assert.deepEqual(
        bindings,
        shown.map((HostIp) => ({ HostIp, HostPort: '8080' })),
      );
    });
  }
});

describe('networks', () => {
  const body = (more: object): Json => ({ Name: 'red', ...more });
  const config = [{ Subnet: 'fd00::/64', Gateway: 'fd00::1' }];

  it('are asked for with IPv6, and warn of subnets that are not used without', () => {
    const six = parseNetworkRequest(body({ EnableIPv6: true, IPAM: { Config: config } }));
    assert.equal(six.ipv6, true);
    assert.deepEqual(six.pools, [{ subnet: 'fd00::/64', gateway: 'fd00::1' }]);
    assert.equal(warningOf(six), '');
    assert.match(
      warningOf(parseNetworkRequest(body({ IPAM: { Config: config } }))),
      /fd00::\/64 is not used: IPv6 is not enabled/,
    );
    assert.throws(() => parseNetworkRequest(body({ EnableIPv4: false })), { code: 'not-implemented' });
  });
});

describe('binds', () => {
  for (const [text, type, source, target, readOnly] of [
    ['/data:/mnt', 'bind', '/data', '/mnt', false],
    ['/data:/mnt:ro', 'bind', '/data', '/mnt', true],
    ['cache:/mnt:rw,nocopy', 'volume', 'cache', '/mnt', false],
    ['/mnt', 'volume', '', '/mnt', false],
  ] as const) {
    it(`reads ${text}`, () => {
      const mount = parseBind(text);
      assert.deepEqual([mount.type, mount.source, mount.target, mount.readOnly], [type, source, target, readOnly]);
      assert.equal(mount.createSource, type === 'bind');
    });
  }
  for (const text of ['', ':/x', '/a:', 'a:b', '/a:/', '/a:/b:sideways', '/a:/b:ro:x', 'bad/name:/x', '/a:///']) {
    it(`refuses '${text}'`, () => refused(() => parseBind(text), /invalid|includes/));
  }
});
