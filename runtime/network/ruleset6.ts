// The packet rules of published ports for IPv6: ports on the machine's addresses, and on ::1. Pure.
import { addressBytes6, type Ip } from './addresses.ts';
import {
  compare,
  loadConstant,
  loadMeta,
  loadPayload,
  lookup,
  masquerade,
  translateDestination6,
  verdict,
  writeAddress6,
} from './nft-expressions.ts';
import type { Expression } from './nft-messages.ts';
import { CONNECTION, connection, loadProtocolAndPort, onlyIpv6, type Rule, toThisHost6 } from './ruleset-parts.ts';

export const PUBLISHED6 = 'published6';
export const PUBLISHED6_ON_ADDRESS = 'published6_on_address';
/** Services' ports that lead somewhere by IPv6. */
export const INGRESS6_PORTS = 'ingress6_ports';

const LOOPBACK6 = 1n;
/**
 * Where clients of ::1 seem to ask, from the packet's first rule to its answer's last: the kernel routes no answer to
 * ::1 that comes in by a bridge. `shoal`, in a prefix that no wire has.
 */
const LOOPBACK6_DOOR = 0xfd53_686f_616c_0000_0000_0000_0000_0001n;

/** What a connection to a published port was asked for at, as the kernel remembers it. */
export const askedAddressOf = (hostAddress: Ip): Ip => (hostAddress === LOOPBACK6 ? LOOPBACK6_DOOR : hostAddress);

const address6Is = (field: 'sourceAddress6' | 'destinationAddress6', address: bigint): Expression[] => [
  loadPayload(field),
  compare('equal', addressBytes6(address)),
];

const loadProtocolAndPortAfter6: readonly Expression[] = [loadMeta('l4proto', 4), loadPayload('destinationPort', 5)];

export const loadAddressProtocolPort6: readonly Expression[] = [
  loadPayload('destinationAddress6'),
  ...loadProtocolAndPortAfter6,
];

export const fixedRules6: readonly Rule[] = [
  ['prerouting', [...toThisHost6, verdict({ kind: 'jump', chain: 'publish6' })]],
  ['output', [...toThisHost6, verdict({ kind: 'jump', chain: 'publish6' })]],
  [
    'output',
    [...onlyIpv6, ...address6Is('destinationAddress6', LOOPBACK6_DOOR), verdict({ kind: 'jump', chain: 'publish6' })],
  ],
  ['publish6', [...loadAddressProtocolPort6, lookup(PUBLISHED6_ON_ADDRESS, 'value'), translateDestination6]],
  ['publish6', [...loadProtocolAndPort, lookup(PUBLISHED6, 'value'), translateDestination6]],
  ['publish6', [...loadProtocolAndPort, lookup('ingress6', 'verdict')]],
];

/**
 * A client on ::1 of a published port: its packets get other addresses before anything else, and the answers ::1 again
 * after everything else. `source` is that of a bridge, so that the answer finds
 * back; without one there is no IPv6.
 */
export function loopbackRules6(source: bigint | undefined): Rule[] {
  if (source === undefined) return [];
  const fromLoopback = [
    ...onlyIpv6,
    ...address6Is('destinationAddress6', LOOPBACK6),
    ...address6Is('sourceAddress6', LOOPBACK6),
  ];
  const through = [
    ...writeAddress6('destinationAddress6', addressBytes6(LOOPBACK6_DOOR)),
    ...writeAddress6('sourceAddress6', addressBytes6(source)),
  ];
  const onAddress = [loadConstant(addressBytes6(LOOPBACK6_DOOR)), ...loadProtocolAndPortAfter6];
  return [
    ['loopback', [...fromLoopback, ...loadProtocolAndPort, lookup(PUBLISHED6, 'value'), ...through]],
    ['loopback', [...fromLoopback, ...loadProtocolAndPort, lookup(INGRESS6_PORTS), ...through]],
    ['loopback', [...fromLoopback, ...onAddress, lookup(PUBLISHED6_ON_ADDRESS, 'value'), ...through]],
    [
      'loopback_back',
      [
        ...onlyIpv6,
        ...address6Is('sourceAddress6', LOOPBACK6_DOOR),
        ...writeAddress6('sourceAddress6', addressBytes6(LOOPBACK6)),
        ...writeAddress6('destinationAddress6', addressBytes6(LOOPBACK6)),
      ],
    ],
    // The container's way back may lead through another network.
    [
      'postrouting',
      [
        ...onlyIpv6,
        ...address6Is('sourceAddress6', source),
        ...connection('status', CONNECTION.destinationTranslated),
        masquerade,
      ],
    ],
  ];
}
