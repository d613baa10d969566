import { formatLsn } from '../../postgres/lsn.ts';
import { jsonLine } from '../../system/json-document.ts';
import { isFact } from '../fact.ts';
import { worstOf } from '../finding.ts';
import type { StatusReport } from '../report.ts';

/** Changes when a field is removed or changes its meaning; a new field does not change it. */
const jsonVersion = 1;

const timeText = (ms: number): string => new Date(ms).toISOString();

/** Facts become `{seenAt, value}` or `{seenAt, unknown}`, locations in the WAL text; what is absent is left out. */
function plain(value: unknown): unknown {
  if (isFact(value)) {
    const seenAt = timeText(value.atMs);
    return value.kind === 'seen' ? { seenAt, value: plain(value.value) } : { seenAt, unknown: value.reason };
  }
  if (typeof value === 'bigint') return formatLsn(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : null;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value ?? null;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, part]) => (part === undefined ? [] : [[key, plain(part)]])),
  );
}

/** One JSON object on one line. */
export function jsonView(report: StatusReport): string {
  const { program, programVersion, host, atMs, findings, facts } = report;
  return jsonLine({
    version: jsonVersion,
    program,
    programVersion,
    host,
    at: timeText(atMs),
    level: worstOf(findings),
    findings: findings.map(({ sinceMs, ...finding }) => ({
      ...finding,
      ...(sinceMs === undefined ? {} : { since: timeText(sinceMs) }),
    })),
    facts: plain(facts),
  });
}
