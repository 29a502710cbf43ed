// A kernel's IPsec as far as its messages say: which states and policies there are, what would be sealed with which, and
// whether it would be opened. Reads bytes by itself, by Linux include/uapi/linux/xfrm.h.
import assert from 'node:assert/strict';
import { NETLINK_XFRM, type Step } from '../../runtime/network/netd-protocol.ts';
import { readAttributes, readMessages } from '../../runtime/network/netlink.ts';

interface State {
  readonly source: number;
  readonly destination: number;
  readonly spi: number;
  readonly request: number;
  readonly interfaceId: number;
  readonly key: string;
  /** As it came; a dump has the same, with what was counted. */
  readonly body: Buffer;
  packets: number;
}

interface Policy {
  readonly source: number;
  readonly destination: number;
  readonly spi: number;
  readonly request: number;
  readonly body: Buffer;
}

/** What is on the wire. */
export interface Sealed {
  readonly destination: number;
  readonly spi: number;
  readonly key: string;
}

export class FakeXfrm {
  readonly states = new Map<string, State>();
  readonly policies = new Map<string, Policy>();
  /** Every key that a state was ever made of: none may come again. */
  readonly keys = new Set<string>();
  readonly said = { state: 0, policy: 0, endState: 0, endPolicy: 0 };

  /** `between` is called behind each message. Routes are none of its business. */
  take(step: Step, between: () => void = () => undefined): void {
    if (step.do !== 'netlink' || step.family !== NETLINK_XFRM) return;
    for (const { type, body } of readMessages(Buffer.from(step.messages))) {
      this.#takeOne(type, body);
      between();
    }
  }

  /** Undefined: no policy is for it, and it is dropped. */
  seal(interfaceId: number, from: number, to: number): Sealed | undefined {
    const policy = this.policies.get(`1 ${interfaceId} ${from} ${to}`);
    if (!policy) return undefined;
    const state = this.states.get(`${policy.destination} ${policy.spi}`);
    assert.ok(state, 'the state that a policy names is there');
    assert.deepEqual([state.source, state.request], [policy.source, policy.request]);
    state.packets += 1;
    return state;
  }

  opens(interfaceId: number, from: number, to: number, sealed: Sealed): boolean {
    const state = this.states.get(`${sealed.destination} ${sealed.spi}`);
    const policy = this.policies.get(`0 ${interfaceId} ${from} ${to}`);
    if (!state || !policy || state.key !== sealed.key || state.interfaceId !== interfaceId) return false;
    const isItsSource = policy.source === state.source && policy.destination === state.destination;
    const isTaken = isItsSource && policy.request === state.request && (policy.spi === 0 || policy.spi === state.spi);
    if (isTaken) state.packets += 1;
    return isTaken;
  }

  /** What Linux answers: 0, or why not. */
  answer(type: number, body: Buffer): number {
    const [EXISTS, NO_SUCH, NO_ENTRY] = [17, 3, 2];
    if (type === 16 && this.states.has(`${body.readUInt32BE(56)} ${body.readUInt32BE(72)}`)) return EXISTS;
    if (type === 17 && !this.states.has(`${body.readUInt32BE(0)} ${body.readUInt32BE(16)}`)) return NO_SUCH;
    if (type === 20 && !this.policies.has(policyKey(body, 60, body.subarray(64)))) return NO_ENTRY;
    this.#takeOne(type, body);
    return 0;
  }

  /** Of every state and every policy what a dump shows, as bodies of messages. */
  shown(type: 18 | 21): { readonly type: number; readonly body: Buffer }[] {
    if (type === 21) return [...this.policies.values()].map(({ body }) => ({ type: 19, body }));
    return [...this.states.values()].map(({ body, packets }) => {
      const copy = Buffer.from(body);
      copy.writeBigUInt64LE(BigInt(packets), 168);
      return { type: 16, body: copy };
    });
  }

  #takeOne(type: number, body: Buffer): void {
    if (type === 16) this.#newState(body);
    else if (type === 25) this.#putPolicy(body);
    else if (type === 20) this.#delete(this.policies, policyKey(body, 60, body.subarray(64)), 'endPolicy');
    else if (type === 17) this.#delete(this.states, `${body.readUInt32BE(0)} ${body.readUInt32BE(16)}`, 'endState');
    else assert.fail(`a message of type ${type}`);
  }

  #newState(body: Buffer): void {
    const attributes = readAttributes(body.subarray(224));
    const state: State = {
      body: Buffer.from(body),
      packets: 0,
      destination: body.readUInt32BE(56),
      spi: body.readUInt32BE(72),
      source: body.readUInt32BE(80),
      request: body.readUInt32LE(208),
      interfaceId: attributes.get(31)?.readUInt32LE(0) ?? 0,
      key: attributes.get(18)?.subarray(72).toString('hex') ?? '',
    };
    const key = `${state.destination} ${state.spi}`;
    assert.ok(!this.states.has(key), 'there is no such state yet');
    assert.ok(!this.keys.has(state.key), 'no key is ever used for a second state');
    this.keys.add(state.key);
    this.states.set(key, state);
    this.said.state += 1;
  }

  #putPolicy(body: Buffer): void {
    const attributes = body.subarray(168);
    const template = readAttributes(attributes).get(5) ?? assert.fail('a policy has a template');
    this.policies.set(policyKey(body, 160, attributes), {
      body: Buffer.from(body),
      destination: template.readUInt32BE(0),
      spi: template.readUInt32BE(16),
      source: template.readUInt32BE(28),
      request: template.readUInt32LE(44),
    });
    this.said.policy += 1;
  }

  #delete(map: Map<string, unknown>, key: string, word: 'endState' | 'endPolicy'): void {
    assert.ok(map.delete(key), 'what is taken out was there');
    this.said[word] += 1;
  }
}

function policyKey(body: Buffer, directionAt: number, attributes: Buffer): string {
  const interfaceId = readAttributes(attributes).get(31)?.readUInt32LE(0) ?? 0;
  return `${body.readUInt8(directionAt)} ${interfaceId} ${body.readUInt32BE(16)} ${body.readUInt32BE(0)}`;
}
