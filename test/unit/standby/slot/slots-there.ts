import type { SlotsThere, SlotThere } from '../../../../src/postgres/stream-slot.ts';

export function slot(changes: Partial<SlotThere> = {}): SlotThere {
  return {
    name: 'pitrtools_for_b_0123456789ab',
    isPhysical: true,
    isActive: false,
    client: '',
    status: 'reserved',
    heldBytes: 0,
    ...changes,
  };
}

/** A server that can have one more. */
export function slots(changes: Partial<SlotsThere> = {}): SlotsThere {
  return {
    login: 'postgres',
    mayMake: true,
    most: 10,
    walLevel: 'replica',
    limitBytes: 10 * 1024 ** 3,
    canLimit: true,
    systemIdentifier: '1',
    slots: [],
    ...changes,
  };
}
