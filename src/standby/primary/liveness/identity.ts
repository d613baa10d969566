import { valuesOf } from './remote-findings.ts';

/** The identity of a living server, as far as it was learned. */
export interface ServerIdentity {
  readonly inRecovery?: boolean | undefined;
  /** Decimal. */
  readonly systemIdentifier?: string | undefined;
  readonly timeline?: number | undefined;
  /** The end of the WAL that it has written, as PostgreSQL prints it. */
  readonly written?: string | undefined;
}

export const unknownIdentity: ServerIdentity = {};

/** 8.4 answers queries only once it is out of recovery. */
function readRecovery(answers: readonly string[], hasStandbyFiles: boolean): boolean | undefined {
  const [recovery] = valuesOf(answers, 'recovery');
  if (recovery === 'true' || recovery === 'false') return recovery === 'true';
  const [release] = valuesOf(answers, 'release');
  if (release !== undefined && Number(release) < 90000) return false;
  return hasStandbyFiles ? true : undefined;
}

/** The file that the server writes now is exact; the last checkpoint may be from before its promotion. */
function readTimeline(answers: readonly string[]): number | undefined {
  const [file] = valuesOf(answers, 'file');
  if (file !== undefined && /^[0-9A-F]{24}$/.test(file)) return parseInt(file.slice(0, 8), 16);
  const [timeline] = valuesOf(answers, 'checkpoint-timeline');
  return timeline !== undefined && /^\d+$/.test(timeline) ? Number(timeline) : undefined;
}

function identifierIn(lines: readonly string[]): string | undefined {
  return valuesOf(lines, 'identifier').find((text) => /^\d+$/.test(text));
}

/**
 * @param answers the server's answers about itself
 * @param processes the look at the data directory; it counts if the server does not answer and the living server is
 * that directory's
 */
export function readIdentity(
  answers: readonly string[],
  processes: readonly string[],
  isOfDirectory: boolean,
): ServerIdentity {
  return {
    inRecovery: readRecovery(answers, isOfDirectory && processes.includes('recovers')),
    systemIdentifier: identifierIn(answers) ?? (isOfDirectory ? identifierIn(processes) : undefined),
    timeline: readTimeline(answers),
    written: valuesOf(answers, 'written').find((text) => /^[0-9A-F]{1,8}\/[0-9A-F]{1,8}$/.test(text)),
  };
}
