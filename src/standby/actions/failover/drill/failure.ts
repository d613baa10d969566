/** How a part of a drill has failed. */
import { messageOf, PitrError } from '../../../../errors.ts';
import { systemErrorCode } from '../../../../system/durable.ts';
import type { StandbyDeps } from '../../../deps.ts';

type Deps = Pick<StandbyDeps, 'log' | 'signal'>;

/** `ENOSPC`, but no `ERR_INVALID_ARG_TYPE`. */
const systemError = /^E[A-Z0-9]+$/;

/** A full disk or a file that nobody can read is no bug: it is a failure of the drill. All else is thrown. */
function understood({ signal }: Deps, error: unknown): PitrError {
  if (signal.aborted) throw error;
  if (error instanceof PitrError) return error;
  if (!systemError.test(systemErrorCode(error) ?? '')) throw error;
  return new PitrError(messageOf(error), { cause: error });
}

async function failureIn(deps: Deps, work: () => Promise<void>): Promise<PitrError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    return understood(deps, error);
  }
}

/**
 * Undefined if all went well. What fails at the end is worse than the failure that it follows: the standby may be stopped. It
 * is the result then, for the record and the notification, and the first failure is said as well.
 *
 * @param end whatever ends the work
 */
export async function failureOf(
  deps: Deps,
  work: () => Promise<void>,
  end: () => Promise<void> = () => Promise.resolve(),
): Promise<PitrError | undefined> {
  let failure: PitrError | undefined;
  try {
    failure = await failureIn(deps, work);
  } catch (error) {
    await end();
    throw error;
  }
  const worse = await failureIn(deps, end);
  if (worse !== undefined && failure !== undefined)
    deps.log.error(`the drill has failed: ${failure.message}`, { detail: failure.detail });
  return worse ?? failure;
}
