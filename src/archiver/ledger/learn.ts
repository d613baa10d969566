/** Learns from the standby what a process that was killed delivered and did not write into the ledger. */
import { parseWalName } from '../../postgres/wal-name.ts';
import { shellQuote } from '../../system/shell-quote.ts';
import type { Delivery } from '../delivery/delivery.ts';
import type { ArchiverDeps } from '../deps.ts';
import type { Lane } from '../lane/lane.ts';
import { addLearned, lastNoted } from './ledger.ts';

/** A process writes every ten seconds: more than this is no tail of it. */
const mostNames = 20_000;

/** The segments of this timeline behind this one. The names are texts: awk would compare digits as numbers. */
function script(archivedir: string, last: string): string {
  return `LC_ALL=C; export LC_ALL
cd ${shellQuote(archivedir)} 2>/dev/null || exit 0
ls | awk -v last=${last} 'length($0) == 24 && substr($0, 1, 8) == substr(last, 1, 8) "" && ($0 "") > (last "")' 2>/dev/null | head -n ${mostNames}`;
}

/** Once in the life of a process. Call this after a greeting. Never fails. The caller holds the lane's lock. */
export async function learnTail(deps: ArchiverDeps, lane: Lane, delivery: Delivery): Promise<void> {
  if (lane.ledger.isTailKnown) return;
  lane.ledger.isTailKnown = true;
  const last = await lastNoted(lane);
  if (last === undefined) return;
  const { shell, place, standby } = delivery;
  const answer = await shell.run(script(place.archivedir, last.text), {
    limitMs: standby.ssh_timeout * 1000,
  });
  if (answer.kind === 'lost') return;
  const names = answer.lines.filter((line) => parseWalName(line).kind === 'segment');
  if (names.length > 0) await addLearned(deps, lane, new Set(names));
}
