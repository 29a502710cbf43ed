// rtnetlink: links that put a container into the network of another link, and VLANs. Pure.
// Source: Linux include/uapi/linux/if_link.h.
import { MessageWriter, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL } from './netlink.ts';
import {
  IFLA_ADDRESS,
  IFLA_GROUP,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINKINFO,
  IFLA_NET_NS_FD,
  RTM_NEWLINK,
} from './rtnetlink.ts';

export const MACVLAN_MODE = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
export const IPVLAN_FLAG = { bridge: 0, private: 1, vepa: 2 } as const;
const IPVLAN_L2 = 0;

export type LanLink =
  | { readonly kind: 'macvlan'; readonly mode: keyof typeof MACVLAN_MODE }
  | { readonly kind: 'ipvlan'; readonly flag: keyof typeof IPVLAN_FLAG };

const header = (index: number): Buffer => {
  const bytes = Buffer.alloc(16);
  bytes.writeInt32LE(index, 4);
  return bytes;
};

const u16 = (value: number): Buffer => Buffer.from([value & 255, value >> 8]);

/** Sent in the parent's namespace; the link appears in the one that `insideFd` names, absent: beside its parent. */
export function addLanLink(
  writer: MessageWriter,
  link: LanLink & {
    readonly name: string;
    readonly parent: number;
    readonly index?: number;
    readonly insideFd?: number;
    readonly mac?: Uint8Array;
  },
): void {
  writer.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, header(link.index ?? 0), () => {
    writer.text(IFLA_IFNAME, link.name);
    writer.u32(IFLA_LINK, link.parent);
    if (link.mac) writer.bytes(IFLA_ADDRESS, link.mac);
    if (link.insideFd !== undefined) writer.u32(IFLA_NET_NS_FD, link.insideFd);
    writer.nested(IFLA_LINKINFO, () => {
      writer.text(IFLA_INFO_KIND, link.kind);
      writer.nested(IFLA_INFO_DATA, () => {
        if (link.kind === 'macvlan') return writer.u32(1, MACVLAN_MODE[link.mode]); // IFLA_MACVLAN_MODE
        writer.bytes(1, u16(IPVLAN_L2)); // IFLA_IPVLAN_MODE
        writer.bytes(2, u16(IPVLAN_FLAG[link.flag])); // IFLA_IPVLAN_FLAGS
      });
    });
  });
}

/** What has this 802.1q number on the parent's wire. */
export function addVlan(
  writer: MessageWriter,
  vlan: { readonly name: string; readonly parent: number; readonly number: number; readonly group: number },
): void {
  writer.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, header(0), () => {
    writer.text(IFLA_IFNAME, vlan.name);
    writer.u32(IFLA_LINK, vlan.parent);
    writer.u32(IFLA_GROUP, vlan.group);
    writer.nested(IFLA_LINKINFO, () => {
      writer.text(IFLA_INFO_KIND, 'vlan');
      writer.nested(IFLA_INFO_DATA, () => writer.bytes(1, u16(vlan.number))); // IFLA_VLAN_ID
    });
  });
}
