import { showJson, showTables } from '../../status/show.ts';
import { callerText } from '../../system/caller.ts';
import { documentHead } from '../../system/json-document.ts';
import { quoted } from '../../system/printable.ts';
import { whenText } from '../../when.ts';
import type { ArchiverDeps } from '../deps.ts';
import { ledgerNames, readLedger } from '../ledger/read.ts';
import { eventWords, isHistory } from '../ledger/words.ts';

/** The form of --json: it changes when a field is removed or changes its meaning. */
const jsonVersion = 1;

/** `--history`: changes of roles, abandonments, gaps and base backups of all standbys, newest last. Changes nothing. */
export async function showHistory(deps: ArchiverDeps, { json }: { readonly json: boolean }): Promise<number> {
  const ledgers = [];
  for (const name of await ledgerNames(deps)) ledgers.push(await readLedger(deps, name));
  const refused = ledgers.flatMap((ledger) => ledger.refused);
  for (const { file, line, reason } of refused)
    deps.log.warning(`line ${line} of "${file}" is not understood, and is left out: ${quoted(reason)}`);
  const events = ledgers
    .flatMap(({ standby, events: of }) => of.filter(isHistory).map((event) => ({ standby, ...event })))
    .sort((a, b) => (a.at === b.at ? 0 : a.at < b.at ? -1 : 1));
  const isCut = ledgers.some((ledger) => ledger.isCut);
  if (json) {
    showJson({
      ...documentHead(jsonVersion, { program: 'cmd_archiver', host: deps.hostName, atMs: deps.now() }),
      events,
      refused,
      isCut,
    });
    return 0;
  }
  if (isCut) deps.report('Older entries were removed');
  if (events.length === 0) deps.report('Nothing is recorded');
  else
    showTables([
      {
        title: `History of ${quoted(deps.hostName)}`,
        rows: events.map((event) => [
          whenText(event.at),
          `${event.standby}: ${eventWords(event)}`,
          callerText(event),
        ]),
      },
    ]);
  return 0;
}
