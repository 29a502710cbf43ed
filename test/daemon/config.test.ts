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
