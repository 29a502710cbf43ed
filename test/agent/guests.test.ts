import assert from 'node:assert/strict';
import { Guests } from '../../agent/guests.ts';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import type { GuestPlace, GuestRequest } from '../../proto/control.ts';
import { until } from '../support/until.ts';

const guest = (containerId: string, network = 'back'): GuestRequest => {
  return { containerId, network, name: containerId, aliases: [], address: '' };
};
const placed = ({ containerId, network }: GuestRequest): GuestPlace => {
  return { containerId, network, networkId: 'net', address: `at ${containerId}` };
};

function setUp() {
  const clock = new ManualClock();
  const guests = new Guests({ clock, log: silentLog });
  const told: string[] = [];
  const answer = { with: async (list: readonly GuestRequest[]) => list.map(placed) };
  const send = async (list: readonly GuestRequest[]): Promise<readonly GuestPlace[]> => {
    told.push(list.map(({ containerId }) => containerId).join());
    return await answer.with(list);
  };
  return { clock, guests, told, answer, send };
}

describe('containers of no service on an agent', () => {
  it('are told to the managers whole, when there is a session and when something changed', async () => {
    const { guests, told, send } = setUp();
    guests.restore([{ ...guest('old', 'net'), address: '10.0.1.9' }]);
    const place = guests.place(guest('a'));
    guests.connect(send);
    assert.equal((await place).address, 'at a');
    await guests.place(guest('b'));
    guests.release('a', 'net');
    await until('the managers are told', () => told.at(-1) === 'old,b');
    guests.release('old', 'net');
    await until('the managers are told', () => told.at(-1) === 'b');
    guests.connect(send);
    await until('the managers are told', () => told.filter((list) => list === 'b').length === 2);
  });

  it('hear why there is no place for them, and are not asked for again', async () => {
    const { guests, told, answer, send } = setUp();
    guests.connect(send);
    const refusal = { code: 'forbidden', reason: 'network back not manually attachable' };
    answer.with = async (list) => list.map((each) => ({ ...placed(each), address: '', refusal }));
    await assert.rejects(guests.place(guest('a')), { code: 'forbidden', message: refusal.reason });
    await until('the managers are told', () => told.at(-1) === '');
  });

  it('wait while no manager answers, and give up with a sentence', async () => {
    const { clock, guests, told, answer, send } = setUp();
    const fails = answer.with;
    answer.with = () => Promise.reject(new Error('no leader'));
    guests.connect(send);
    const place = guests.place(guest('a'));
    await until('the managers are told', () => told.length >= 1);
    answer.with = fails;
    const before = told.length;
    await until('the managers are told again', () => {
      clock.advance(100);
      return told.length > before;
    });
    assert.equal((await place).address, 'at a');
    answer.with = () => Promise.reject(new Error('no leader'));
    const late = guests.place(guest('b'));
    clock.advance(10_000);
    await assert.rejects(late, { code: 'unavailable', message: /no manager gave a place on network back within 10 s/ });
    const checks = ['back', 'front'].map((network) => guests.check(network));
    clock.advance(5_000);
    for (const check of checks)
      await assert.rejects(check, { code: 'unavailable', message: /within 5 s: networks of the/ });
  });
});
