// The packet rules inside a container's namespace that lead 127.0.0.11:53 to the resolver's real ports. Pure.
// The image may so bind port 53 itself, on every address.
import { addressBytes, parseAddress } from './addresses.ts';
import { PROTOCOL_NUMBER } from './netd-protocol.ts';
import { compare, loadConstant, loadMeta, loadPayload, translateDestination } from './nft-expressions.ts';
import { type Expression, NftBatch } from './nft-messages.ts';

const TABLE = 'shoal_names';
const ADDRESS = addressBytes(parseAddress('127.0.0.11'));
const IPV4 = Buffer.from([2]);

const big16 = (value: number): Buffer => Buffer.from([value >> 8, value & 255]);

/** Replaces the rules of an earlier daemon, in one step. */
export function planResolverRules({ port, streamPort }: { port: number; streamPort: number }): Buffer {
  const batch = new NftBatch(TABLE);
  batch.addTable();
  batch.deleteTable();
  batch.addTable();
  batch.addBaseChain('output', { type: 'nat', hook: 'output', priority: -100 });
  batch.addRule('output', redirect('udp', port));
  batch.addRule('output', redirect('tcp', streamPort));
  return batch.finish();
}

function redirect(protocol: 'udp' | 'tcp', port: number): Expression[] {
  return [
    loadMeta('nfproto'),
    compare('equal', IPV4),
    loadPayload('destinationAddress'),
    compare('equal', ADDRESS),
    loadMeta('l4proto'),
    compare('equal', Buffer.from([PROTOCOL_NUMBER[protocol]])),
    loadPayload('destinationPort'),
    compare('equal', big16(53)),
    loadConstant(ADDRESS),
    loadConstant(big16(port), 1),
    translateDestination,
  ];
}
