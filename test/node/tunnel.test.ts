// The tunnel of encrypted networks by itself: what it takes from its daemon, and what from another node.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { requireRoot } from '../support/requirements.ts';
import { aKey, LoneTunnel, TunnelPeer } from '../support/tunnel-peer.ts';
import { until } from '../support/until.ts';

describe('the tunnel', function () {
  this.timeout(30_000);

  before(function () {
    requireRoot(this);
  });

  const told = async (tunnel: LoneTunnel, ...peers: readonly (readonly string[])[]): Promise<void> =>
    assert.equal(await tunnel.ask('begin 7', ...peers.flat(), 'commit'), '');

  it('takes a frame once, and no counter near the end of counting, whoever has sealed it', async () => {
    await using tunnel = await LoneTunnel.start();
    using peer = await TunnelPeer.open(tunnel);
    const key = aKey(1);
    await told(tunnel, peer.lines([key]));
    await peer.shakeHands(key);
    const ends = [2n ** 64n - 2n, 2n ** 64n - 1n, 2n ** 63n].map((counter) => peer.frame(key, counter));
    await peer.send(peer.frame(key, 1n), ...ends, peer.frame(key, 2n), peer.frame(key, 2n), peer.frame(key, 0n));
    await until('all have come', async () => (await tunnel.counts(peer.tag)).replayed === 5);
    const { received, altered } = await tunnel.counts(peer.tag);
    assert.deepEqual([received, altered], [2, 0]);
    await peer.send(peer.frame(key, 2n ** 63n - 1n), peer.frame(key, 2n ** 63n - 2n), peer.frame(key, 3n));
    await until('the last but one is taken', async () => (await tunnel.counts(peer.tag)).replayed === 6);
    assert.equal((await tunnel.counts(peer.tag)).received, 4);
  });

  it('takes no frame again under an earlier key, neither while both hold nor when it is told the key again', async () => {
    await using tunnel = await LoneTunnel.start();
    using peer = await TunnelPeer.open(tunnel);
    const [old, now] = [aKey(1), aKey(2)];
    await told(tunnel, peer.lines([old]));
    await peer.shakeHands(old);
    const [first, second] = [peer.frame(old, 1n), peer.frame(now, 3n)];
    await peer.send(first);
    await until('it is taken', async () => (await tunnel.counts(peer.tag)).received === 1);
    await told(tunnel, peer.lines([old, now]));
    await peer.send(second, first, second, peer.frame(old, 3n));
    await until('those that came twice are refused', async () => (await tunnel.counts(peer.tag)).replayed === 3);
    await peer.send(peer.frame(old, 2n));
    await until('what is only late is taken', async () => (await tunnel.counts(peer.tag)).received === 3);
    await told(tunnel, peer.lines([now]));
    await peer.send(first);
    await until('its key is not known', async () => (await tunnel.counts(peer.tag)).altered === 1);
    await told(tunnel, peer.lines([old, now]));
    await peer.send(first);
    await until('it is refused', async () => (await tunnel.counts(peer.tag)).replayed === 4);
    assert.equal((await tunnel.counts(peer.tag)).received, 3);
  });

  it('takes nothing that was held back until 2 048 others had come, under whichever key', async () => {
    await using tunnel = await LoneTunnel.start();
    using peer = await TunnelPeer.open(tunnel);
    const [old, now] = [aKey(1), aKey(2)];
    await told(tunnel, peer.lines([old, now]));
    await peer.shakeHands(now);
    await peer.send(peer.frame(now, 3_000n), peer.frame(old, 2n), peer.frame(old, 953n));
    await until('the late one is taken', async () => (await tunnel.counts(peer.tag)).received === 2);
    assert.equal((await tunnel.counts(peer.tag)).replayed, 1);
  });

  it('answers a node that begins anew while recorded greetings of its past pour in', async () => {
    await using tunnel = await LoneTunnel.start();
    using peer = await TunnelPeer.open(tunnel);
    const key = aKey(1);
    await told(tunnel, peer.lines([key]));
    const recorded: Buffer[] = [];
    for (let life = 0; life < 3; life += 1) {
      peer.restart();
      recorded.push(peer.greeting(key));
      await peer.shakeHands(key);
    }
    peer.restart();
    const flood = setInterval(() => void peer.send(...Array.from({ length: 10 }, () => recorded).flat()), 10);
    try {
      await peer.shakeHands(key);
    } finally {
      clearInterval(flood);
    }
    await peer.send(peer.frame(key, 1n));
    await until('it is heard', async () => (await tunnel.counts(peer.tag)).received === 1);
  });

  it('refuses a network with a line that is none, keeps what it had of it, and takes the others', async () => {
    await using tunnel = await LoneTunnel.start();
    using peer = await TunnelPeer.open(tunnel);
    using other = await TunnelPeer.open(tunnel, 8);
    const key = aKey(1);
    await told(tunnel, peer.lines([key]));
    await peer.shakeHands(key);
    for (const [line, word] of [
      [`pair ${other.tag} 7 10.0.0.9 127.0.0 4790 0`, 'pair'],
      [`pair ${other.tag} 7 10.0.0.9 127.0.0.1 65536 0`, 'pair'],
      [`pair ${other.tag} 8 10.0.0.9 127.0.0.1 4790 0`, 'pair'],
      ['key 3 abc', 'key'],
      ['send it', 'send'],
    ] as const) {
      const answer = await tunnel.ask('begin 7', ...peer.lines([aKey(9)]), line, 'commit');
      assert.equal(answer, `refused ${word}\n`, line);
    }
    assert.equal(await tunnel.ask('begin 8', ...other.lines([key]), 'commit'), '');
    await other.shakeHands(key);
    await peer.send(peer.frame(key, 1n));
    await until('the pair is as it was', async () => (await tunnel.counts(peer.tag)).received === 1);
    assert.equal((await tunnel.counts(other.tag)).open, true);
  });

  it('has no capability, can get none, and may make few system calls', async () => {
    await using tunnel = await LoneTunnel.start();
    const status = readFileSync(`/proc/${tunnel.child.pid}/status`, 'utf8');
    const fields = new Map(status.split('\n').map((line) => line.split(':\t') as [string, string]));
    for (const name of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) {
      assert.equal(fields.get(name), '0000000000000000', name);
    }
    assert.deepEqual([fields.get('NoNewPrivs'), fields.get('Seccomp')], ['1', '2']);
  });

  it('has what it needs for a thousand pairs, whose lines come and go, and for its end', async () => {
    await using tunnel = await LoneTunnel.start();
    const line = (at: number): string =>
      `pair ${(at + 1).toString(16).padStart(16, '0')} 9 10.2.${at >> 8}.${at & 255} 127.0.0.1 9 0`;
    const key = `key 1 ${'ab'.repeat(32)}`;
    for (const pairs of [1000, 3, 1000]) {
      const lines = Array.from({ length: pairs }, (_, at) => [line(at), key, 'send 1']).flat();
      assert.equal(await tunnel.ask('begin 9', ...lines, 'commit'), '');
      assert.equal((await tunnel.ask('counts')).match(/^count /gm)?.length, pairs);
    }
    const ended = once(tunnel.child, 'exit');
    await tunnel.ask('end');
    assert.deepEqual(await ended, [0, null]);
    assert.equal(existsSync(tunnel.socketPath), false);
  });

  it('ends by its alarm, which it sets anew as long as it does not hang', async () => {
    await using tunnel = await LoneTunnel.start();
    const ended = once(tunnel.child, 'exit');
    tunnel.child.kill('SIGALRM');
    assert.deepEqual(await ended, [null, 'SIGALRM']);
  });
});
