import assert from 'node:assert/strict';
import { planLan } from '../../runtime/network/lan.ts';
import { addLanLink, addVlan, type LanLink } from '../../runtime/network/lan-messages.ts';
import { MessageWriter, readAttributes, readMessages, readText } from '../../runtime/network/netlink.ts';

/** A message as what its attributes say. */
function read(write: (writer: MessageWriter) => void): {
  index: number;
  name: string;
  parent: number;
  kind: string;
  data: Map<number, Buffer>;
  all: Map<number, Buffer>;
} {
  const writer = new MessageWriter();
  write(writer);
  const [message] = [...readMessages(writer.finish())];
  assert.ok(message);
  assert.equal(message.type, 16);
  const all = readAttributes(message.body.subarray(16));
  const info = readAttributes(all.get(18) ?? Buffer.alloc(0));
  return {
    index: message.body.readInt32LE(4),
    name: readText(all.get(3)),
    parent: all.get(5)?.readUInt32LE(0) ?? 0,
    kind: readText(info.get(1)),
    data: readAttributes(info.get(2) ?? Buffer.alloc(0)),
    all,
  };
}

const linkOf = (link: LanLink) =>
  read((writer) =>
    addLanLink(writer, {
      ...link,
      name: 'eth0',
      parent: 7,
      index: 100,
      insideFd: 9,
      mac: Buffer.from('024201020304', 'hex'),
    }),
  );

describe('links in the LAN of a parent', () => {
  it('of macvlan name parent, namespace, address and mode', () => {
    const { index, name, parent, kind, data, all } = linkOf({ kind: 'macvlan', mode: 'bridge' });
    assert.deepEqual([index, name, parent, kind], [100, 'eth0', 7, 'macvlan']);
    assert.deepEqual([all.get(28)?.readUInt32LE(0), all.get(1)?.toString('hex')], [9, '024201020304']);
    assert.equal(data.get(1)?.readUInt32LE(0), 4);
  });

  it('of ipvlan name mode and flag in 16 bits', () => {
    const { kind, data } = linkOf({ kind: 'ipvlan', flag: 'vepa' });
    assert.deepEqual([kind, data.get(1)?.toString('hex'), data.get(2)?.toString('hex')], ['ipvlan', '0000', '0200']);
  });

  it('of a VLAN name its number', () => {
    const vlan = read((writer) => addVlan(writer, { name: 'eth0.50', parent: 2, number: 50, group: 5 }));
    assert.deepEqual([vlan.name, vlan.parent, vlan.kind], ['eth0.50', 2, 'vlan']);
    assert.equal(vlan.data.get(1)?.readUInt16LE(0), 50);
  });

  const id = 'abcdef012345'.padEnd(64, '0');
  for (const [what, options, internal, parent, made] of [
    ['a parent', { parent: 'eth0' }, false, 'eth0', ''],
    ['none', {}, false, 'dm-abcdef012345', 'pair'],
    ['a parent and internal', { parent: 'eth0' }, true, 'dm-abcdef012345', 'pair'],
  ] as const) {
    it(`with ${what} stand on ${parent}`, () => {
      const plan = planLan('macvlan', { options, internal }, id);
      assert.deepEqual([plan.parent, plan.lan.made, plan.internal], [parent, made, parent !== 'eth0']);
    });
  }
});
