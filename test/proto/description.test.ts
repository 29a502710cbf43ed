import assert from 'node:assert/strict';
import { encodeJson, parseDescription } from '../../proto/assignment.ts';
import { aNode } from '../support/objects.ts';

describe('what a node says of itself', () => {
  const { description } = aNode();
  const encryptionIn = (encryption: unknown): unknown =>
    parseDescription(encodeJson({ ...description, encryption })).encryption;

  it('is taken as it was said', () => {
    assert.deepEqual(parseDescription(encodeJson(description)), description);
    assert.equal(encryptionIn(undefined), undefined);
    assert.deepEqual(encryptionIn([]), []);
    assert.deepEqual(encryptionIn(['tunnel', 'esp']), ['esp', 'tunnel']);
  });

  it('may name means of encryption that only a later version knows, and any of them many times', () => {
    assert.deepEqual(encryptionIn(['tunnel', 'quantum', 'tunnel']), ['tunnel']);
    assert.throws(() => encryptionIn('tunnel'), { code: 'invalid', message: /description\.encryption/ });
    assert.throws(() => encryptionIn([7]), { code: 'invalid' });
  });

  it('has lives of networks, each of 32 hex digits, and not too many', () => {
    const livesIn = (lives: unknown): unknown => parseDescription(encodeJson({ ...description, lives })).lives;
    const life = 'ab'.repeat(16);
    assert.deepEqual(livesIn({ net1: life }), { net1: life });
    assert.deepEqual([livesIn(undefined), livesIn({})], [undefined, {}]);
    for (const lives of [{ net1: 'AB'.repeat(16) }, { net1: `${life}0` }, { net1: 7 }, [life], { 'net 1': life }]) {
      assert.throws(() => livesIn(lives), { code: 'invalid', message: /description\.lives/ });
    }
    const many = Object.fromEntries(Array.from({ length: 1_025 }, (_, at) => [`n${at}`, life]));
    assert.throws(() => livesIn(many), { message: /more than 1024/ });
  });

  it('has ports of networks, each with three above it, and not too many', () => {
    const portsIn = (wireguardPorts: unknown): unknown =>
      parseDescription(encodeJson({ ...description, wireguardPorts })).wireguardPorts;
    assert.deepEqual([portsIn({ net1: 61_440 }), portsIn(undefined)], [{ net1: 61_440 }, undefined]);
    for (const ports of [{ net1: 0 }, { net1: 65_533 }, { net1: '1' }, { 'net 1': 7 }, [7]]) {
      assert.throws(() => portsIn(ports), { code: 'invalid', message: /description\.wireguardPorts/ });
    }
    const many = Object.fromEntries(Array.from({ length: 1_025 }, (_, at) => [`n${at}`, 7]));
    assert.throws(() => portsIn(many), { message: /more than 1024/ });
  });
});
