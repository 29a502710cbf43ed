import assert from 'node:assert/strict';
import { daemonConfig, parseFlags, parseListenAddress } from '../../daemon/config.ts';

const configOf = (argv: readonly string[], file?: unknown) => daemonConfig(parseFlags(argv), file);

describe("the daemon's settings", () => {
  it('have defaults', () => {
    const config = configOf([]);
    assert.deepEqual(config.hosts, [{ kind: 'unix', path: '/var/run/shoal.sock' }]);
    assert.equal(config.dataRoot, '/var/lib/shoal');
    assert.equal(config.tls, undefined);
  });

  it('come from flags and from the file, with names like dockerd', () => {
    const config = configOf(['-H', 'unix:///a', '-H', 'tcp://127.0.0.1:2375', '--data-root=/d/'], {
      'exec-root': '/e',
      labels: ['disk=ssd', 'x=a=b'],
      debug: true,
    });
    assert.equal(config.hosts.length, 2);
    assert.equal(config.dataRoot, '/d');
    assert.equal(config.execRoot, '/e');
    assert.deepEqual(config.labels, { disk: 'ssd', x: 'a=b' });
    assert.equal(config.logLevel, 'debug');
  });

  it('name other OCI runtimes, by flag or as dockerd’s file does', () => {
    const file = { runtimes: { slow: { path: '/opt/crun', runtimeArgs: ['--debug'] } } };
    assert.deepEqual(configOf([], file).ociRuntimes, { slow: { path: '/opt/crun', args: ['--debug'] } });
    assert.deepEqual(configOf(['--add-runtime', 'a=/b=c']).ociRuntimes, { a: { path: '/b=c', args: [] } });
    assert.deepEqual(configOf([]).ociRuntimes, {});
  });

  it('say where registries are, as dockerd’s do', () => {
    const flags = ['--registry-mirror', 'https://m:5000/', '--max-concurrent-uploads', '7'];
    const file = { 'insecure-registries': ['h:5000', '10.0.0.0/8', 'fd00::/8'], 'max-concurrent-downloads': 9 };
    assert.deepEqual(configOf(flags, file).registries, {
      mirrors: ['https://m:5000'],
      insecure: ['h:5000', '10.0.0.0/8', 'fd00::/8'],
      downloadsMax: 9,
      uploadsMax: 7,
      attemptsMax: 5,
    });
  });

  const refused: readonly (readonly [what: string, argv: readonly string[], file: unknown, words: RegExp])[] = [
    ['an unknown flag', ['--nosuch'], undefined, /nosuch/],
    ['an unknown key', [], { nosuch: 1 }, /unknown key 'nosuch'/],
    ['a setting in both places', ['--data-root', '/a'], { 'data-root': '/b' }, /both/],
    ['a wrong type in the file', [], { hosts: 'unix:///a' }, /must be a list/],
    ['a file that is no object', [], [], /must be an object/],
    ['a relative data root', ['--data-root', 'x'], undefined, /absolute/],
    ['a bad address', ['-H', 'http://x'], undefined, /unix:\/\/\/path/],
    ['a port out of range', ['-H', 'tcp://127.0.0.1:99999'], undefined, /tcp:\/\/address:port/],
    ['open TCP', ['-H', 'tcp://0.0.0.0:2375'], undefined, /--tlsverify/],
    [
      'open TCP with encryption but without verification',
      ['-H', 'tcp://10.0.0.1:2376', '--tls'],
      undefined,
      /--tlsverify/,
    ],
    ['a long socket path', ['-H', `unix:///${'x'.repeat(110)}`], undefined, /107 bytes/],
    ['a long exec root', ['--exec-root', `/${'x'.repeat(80)}`], undefined, /longer than/],
    ['a label without a value', ['--label', 'x'], undefined, /key=value/],
    ['a runtime without a path', ['--add-runtime', 'a'], undefined, /--add-runtime 'a' must be NAME=PATH/],
    ['a runtime of our own name', ['--add-runtime', 'shoal=/a'], undefined, /'shoal' is reserved/],
    ['a runtime by a shim', [], { runtimes: { a: { path: '/a', options: {} } } }, /runtimes\.a has an unknown key/],
    ['a mirror that is no address', ['--registry-mirror', 'x'], undefined, /invalid mirror: "x" is not a valid URI/],
    ['a mirror with a path', ['--registry-mirror', 'https://m/v2'], undefined, /invalid mirror: path/],
    ['a mirror with a password', [], { 'registry-mirrors': ['https://a:b@m'] }, /username\/password not allowed/],
    ['a mirror of another scheme', [], { 'registry-mirrors': ['ftp://m'] }, /unsupported scheme "ftp"/],
    ['an insecure registry with a scheme', ['--insecure-registry', 'http://h'], undefined, /should not contain/],
    ['an insecure range that is none', ['--insecure-registry', '10.0.0.0/99'], undefined, /is not valid/],
    ['no downloads at all', [], { 'max-concurrent-downloads': 0 }, /at least 1/],
    ['a count that is none', ['--max-download-attempts', 'many'], undefined, /must be a number/],
    ['a bad log level', ['-l', 'loud'], undefined, /debug, info/],
  ];
  for (const [what, argv, file, words] of refused) {
    it(`refuse ${what}`, () => assert.throws(() => configOf(argv, file), words));
  }

  it('allow TCP beyond loopback with client certificates', () => {
    assert.equal(configOf(['-H', 'tcp://0.0.0.0:2376', '--tlsverify']).tls?.verify, true);
    assert.deepEqual(parseListenAddress('tcp://[::1]:1'), { kind: 'tcp', host: '::1', port: 1 });
  });
});
