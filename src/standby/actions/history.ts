import { durationText } from '../../amounts.ts';
import { describeLeft, parseLeft } from '../../postgres/left-timeline.ts';
import { showJson, showTables } from '../../status/show.ts';
import { callerText } from '../../system/caller.ts';
import { documentHead } from '../../system/json-document.ts';
import { quoted } from '../../system/printable.ts';
import { whenText } from '../../when.ts';
import type { StandbyDeps } from '../deps.ts';
import { type HistoryEvent, type NotedCourse, readHistory } from '../host/history.ts';
import { isRehearsed, phasesText } from '../recovery/phases.ts';

/** The form of --json: it changes when a field is removed or changes its meaning. */
const jsonVersion = 1;

const promotions = {
  failover: 'promoted (-F999)',
  recovery: 'promoted at a recovery target (-F999)',
  switchover: 'promoted (--switchover)',
} as const;

function markWords(mark: string): string {
  const left = parseLeft(mark);
  return left === undefined ? mark : describeLeft(left);
}

function rtoWords(before: string, { rtoSeconds, phases = [] }: NotedCourse): string {
  if (rtoSeconds === undefined) return '';
  const parts = phases.filter(({ name }) => isRehearsed(name));
  const inParts = parts.length === 0 ? '' : ` (${quoted(phasesText(parts), 300)})`;
  return `${before}RTO ${durationText(rtoSeconds)}${inParts}`;
}

function drillWords(from: 'new base backup' | undefined): string {
  return from === undefined ? 'drill' : `drill from a ${from}`;
}

/** Lower case, no full stop. */
function words(event: HistoryEvent): string {
  switch (event.kind) {
    case 'base-backup':
      return `base backup "${event.label}" from LSN ${event.startLsn}${event.source === undefined ? '' : `, copied from ${event.source}`}`;
    case 'standby-started':
      return 'started as a standby (-S)';
    case 'promoted':
      return `${promotions[event.by]}, timeline ${event.timeline ?? 'not determined'}; the primary was ${event.primary}${rtoWords('; ', event)}`;
    case 'recovered':
      return `recovered to ${event.target}, then ${event.action === 'pause' ? 'paused' : 'shut down'}`;
    case 'follows':
      return `follows ${event.primary}, timeline ${event.timeline}, up to LSN ${event.lsn}${event.asked === true ? '; another host asked for it' : ''}`;
    case 'rejoined':
      return `a former primary that follows ${event.primary} (--rejoin): ${event.way}`;
    case 'stopped-for':
      return `the primary was stopped for ${event.by}, timeline ${event.timeline}, at LSN ${event.end}`;
    case 'resumed':
      return `the primary was put back into service, timeline ${event.timeline}`;
    case 'drilled':
      return event.result === 'passed'
        ? `${drillWords(event.from)} passed${rtoWords(', ', event)}`
        : `${drillWords(event.from)} failed: ${quoted(event.reason ?? '', 300)}`;
    case 'left-marked':
      return `marked: ${markWords(event.mark)}${event.moved > 0 ? `; ${event.moved} segments moved aside` : ''}`;
    case 'left-taken-back':
      return `mark taken back: ${markWords(event.mark)}`;
  }
}

/** `--history`: the changes of roles and the base backups on this host, newest last. Changes nothing. */
export async function showHistory(deps: StandbyDeps, { json }: { readonly json: boolean }): Promise<number> {
  const { entries, refused, isCut } = await readHistory(deps);
  for (const { file, line, reason } of refused)
    deps.log.warning(`line ${line} of "${file}" is not understood, and is left out: ${quoted(reason)}`);
  if (json) {
    showJson({
      ...documentHead(jsonVersion, { program: 'cmd_standby', host: deps.hostName, atMs: deps.now() }),
      events: entries,
      refused,
      isCut,
    });
    return 0;
  }
  if (isCut) deps.report('Older entries were removed');
  if (entries.length === 0) deps.report('Nothing is recorded');
  else
    showTables([
      {
        title: `History of ${quoted(deps.hostName)}`,
        rows: entries.map((event) => [whenText(event.at), words(event), callerText(event)]),
      },
    ]);
  return 0;
}
