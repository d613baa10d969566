/** The events of a ledger in words. Pure. */
import { describeLeft, parseLeft } from '../../postgres/left-timeline.ts';
import type { LedgerEvent } from './events.ts';

function rangeWords(first: string | undefined, last: string | undefined): string {
  if (first === undefined || last === undefined) return '';
  return first === last ? first : `${first} to ${last}`;
}

function markWords(mark: string): string {
  const left = parseLeft(mark);
  return left === undefined ? mark : describeLeft(left);
}

type Lost = Pick<Extract<LedgerEvent, { kind: 'abandoned' }>, 'first' | 'last'>;

function lostWords({ first, last }: Lost): string {
  const range = rangeWords(first, last);
  return range === '' ? '' : `, lost: ${range}`;
}

function gapWords({ missing, conflicts }: Extract<LedgerEvent, { kind: 'gap' }>): string {
  const parts = [
    ...(missing.length > 0
      ? [
          `lacks ${missing.map(({ first, last }) => rangeWords(first, last)).join(', ')}, which is nowhere here`,
        ]
      : []),
    ...(conflicts.length > 0 ? [`holds other files as ${conflicts.join(', ')}`] : []),
  ];
  return `gap: it ${parts.join(' and ')}`;
}

/** Changes of roles, and all that endangers a standby; not each catch-up. */
export function isHistory({ kind }: LedgerEvent): boolean {
  return kind !== 'caught-up' && kind !== 'partial' && kind !== 'damaged';
}

/** Lower case, no full stop. */
export function eventWords(event: LedgerEvent): string {
  switch (event.kind) {
    case 'abandoned': {
      const why = event.why === undefined ? '' : `: ${event.why}`;
      return `abandoned by ${event.by === 'policy' ? 'queue_full: abandon' : 'the operator'}${why}${lostWords(event)}`;
    }
    case 'resumed':
      return `resumed by ${event.by === 'operator' ? 'the operator' : 'a base backup of the standby'}${lostWords(event)}`;
    case 'gap':
      return gapWords(event);
    case 'gap-closed':
      return 'gap closed: it lacks no WAL any more';
    case 'caught-up':
      return event.hasNoData === true
        ? 'has no data yet'
        : `has all WAL from its restartpoint on, on timeline ${event.timeline}`;
    case 'backup-begun':
      return 'base backup of the standby asks for WAL';
    case 'backup-ended':
      return `base backup ended: ${event.name}`;
    case 'timeline':
      return `new timeline: ${event.name}`;
    case 'partial':
      return `unfinished end of a timeline: ${event.name}`;
    case 'left-marked':
      return `informed: ${markWords(event.mark)}${event.moved > 0 ? `; it moved ${event.moved} segments aside` : ''}`;
    case 'left-taken-back':
      return `informed: this is taken back: ${markWords(event.mark)}`;
    case 'damaged':
      return `the ledger's open ranges could not be read: ${event.reason}`;
  }
}
