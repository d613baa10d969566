import { inMegabytes } from '../../megabytes.ts';
import { dropByHand, findSlot, isLost, isStreamSlot, type SlotsThere } from '../../postgres/stream-slot.ts';
import { quoted } from '../../system/printable.ts';
import { type Objection, when } from '../steps/objections.ts';

/** The slot that is wanted on a server, and what the INI file says of it. */
interface WantedSlot {
  readonly name: string;
  /** The host of that server, for messages. */
  readonly host: string;
  /** Whether the standby here may be using it now. */
  readonly mayBeInUse: boolean;
  /** `slot_unlimited` */
  readonly isUnlimited: boolean;
}

/** Obstacles to another slot on a server, for any standby. */
export function settingObjections(there: SlotsThere, host: string): readonly Objection[] {
  const { mayMake, login, most, walLevel } = there;
  return [
    ...when(!mayMake, {
      message: `role "${quoted(login)}" has no right to make a replication slot on ${host}`,
      hint: `Run there as a superuser: ALTER ROLE ${quoted(login)} REPLICATION`,
    }),
    ...when(most === 0, {
      message: `max_replication_slots is 0 on ${host}, and the slot needs at least 1`,
      hint: 'Raise it there and restart that server, or set use_slot: no.',
    }),
    ...when(walLevel === 'minimal', {
      message: `wal_level is minimal on ${host}, and a replication slot needs more`,
      hint: 'Set wal_level = replica there (hot_standby up to 9.5).',
    }),
  ];
}

function limitObjections({ limitBytes, canLimit }: SlotsThere, host: string): readonly Objection[] {
  if (limitBytes !== undefined) return [];
  return [
    canLimit
      ? {
          message: `max_slot_wal_keep_size is not set on ${host}: while this standby is away, its slot would keep WAL until pg_wal there has filled its file system`,
          hint: `Run there: ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf(). To do without a limit: slot_unlimited: yes; without a slot: use_slot: no.`,
        }
      : {
          message: `this release of PostgreSQL cannot limit what a replication slot keeps (13 and later can): while this standby is away, pg_wal on ${host} would fill its file system`,
          hint: 'Set use_slot: no; or slot_unlimited: yes, if pg_wal there is watched.',
        },
  ];
}

function roomObjections({ slots, most }: SlotsThere, { name, host }: WantedSlot): readonly Objection[] {
  if (most === 0 || slots.length < most || slots.some((slot) => slot.name === name)) return [];
  const unused = slots.filter(({ isActive }) => !isActive).map((slot) => dropByHand(slot.name));
  const drop =
    unused.length === 0 ? '' : ` Not in use now; drop what nobody needs any more: ${unused.join('; ')}`;
  return [
    {
      message: `max_replication_slots is ${most} on ${host}, and all are taken: ${slots.map((slot) => slot.name).join(', ')}`,
      hint: `Raise it there and restart that server.${drop}`,
    },
  ];
}

/** A slot of that name that is not ours, or that another standby uses. */
function nameObjections(there: SlotsThere, { name, host, mayBeInUse }: WantedSlot): readonly Objection[] {
  const found = findSlot(there, name);
  if (found === undefined) return [];
  const by = found.client === '' ? '' : ` by ${quoted(found.client)}`;
  return [
    ...when(!found.isPhysical, {
      message: `replication slot "${name}" on ${host} is a logical one`,
      hint: `Drop it there: ${dropByHand(name)}`,
    }),
    ...when(found.isActive && !mayBeInUse, {
      message: `replication slot "${name}" on ${host} is in use${by}, and the server here does not run`,
      hint: 'Another standby has the same host name and pgdata: change one of them. A connection that this standby has lost ends within wal_sender_timeout there: then run this again.',
    }),
  ];
}

/** All that keeps this standby from streaming by its slot. */
export function slotObjections(there: SlotsThere, wanted: WantedSlot): readonly Objection[] {
  return [
    ...settingObjections(there, wanted.host),
    ...(wanted.isUnlimited ? [] : limitObjections(there, wanted.host)),
    ...roomObjections(there, wanted),
    ...nameObjections(there, wanted),
  ];
}

const muchBytes = 1024 ** 3;

/** The settings by which a server gives up what a slot keeps. */
export const limits = 'max_slot_wal_keep_size, or from 18 on idle_replication_slot_timeout';

/** A slot that is in use cannot be dropped. */
export const renewCommands = 'cmd_standby -A stop, then -S';

/**
 * The troubles of the slots of our standbys on a server, except with the one that is about to be used.
 *
 * @param ownName that slot
 */
export function slotConcerns(there: SlotsThere, host: string, ownName?: string): readonly string[] {
  const most = there.limitBytes === undefined ? muchBytes : there.limitBytes / 2;
  return there.slots
    .filter(({ name }) => isStreamSlot(name) && name !== ownName)
    .flatMap((slot): readonly string[] => {
      const { name, isActive, heldBytes = 0 } = slot;
      if (isLost(slot))
        return [
          isActive
            ? `replication slot "${name}" on ${host} is in use, but keeps no WAL any more (max_slot_wal_keep_size): make it anew by ${renewCommands} on that standby`
            : `replication slot "${name}" on ${host} keeps no WAL any more (${limits}): the standby that streams by it needs the archive; its next -P makes it anew. If that standby is gone: ${dropByHand(name)}`,
        ];
      if (isActive || heldBytes < most) return [];
      return [
        `replication slot "${name}" on ${host} is not in use and keeps ${inMegabytes(heldBytes)} of WAL there: start that standby; if it is gone: ${dropByHand(name)}`,
      ];
    });
}
