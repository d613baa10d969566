/** The last refusal that was notified: a supervisor asks again every few seconds, and gets the same answer. */
import { join } from 'node:path';
import { messageOf } from '../../../errors.ts';
import { removeDurably } from '../../../system/durable.ts';
import { is } from '../../../system/json.ts';
import { readNotified } from '../../../system/notified.ts';
import { isNotificationDue, saidFields } from '../../../system/notify.ts';
import { replaceDurably } from '../../../system/replaceable.ts';
import type { ArchiverDeps } from '../../deps.ts';

const fields = {
  ...saidFields,
  /** Why it was refused. */
  state: is.text,
};

const pathOf = ({ layout }: ArchiverDeps): string => join(layout.privateDirectory, 'may_start.json');

/** Whether this refusal is another one than the last, or a reminder of it is due. */
export async function isRefusalNew(deps: ArchiverDeps, state: string): Promise<boolean> {
  const said = await readNotified(deps.log, pathOf(deps), fields);
  const nowS = Math.floor(deps.now() / 1000);
  const same = said?.state === state ? said : undefined;
  return isNotificationDue(same, 'critical', nowS, deps.settings.notify_reminder);
}

/** Whether a server starts does not depend on it: one notification too many is better than none. */
async function tryTo(deps: ArchiverDeps, change: () => Promise<void>): Promise<void> {
  try {
    await change();
  } catch (error) {
    deps.log.debug(`cannot remember what was notified: ${messageOf(error)}`);
  }
}

export async function noteRefusal(deps: ArchiverDeps, state: string): Promise<void> {
  const lastNotified = Math.floor(deps.now() / 1000);
  const text = JSON.stringify({ severity: 'critical', lastNotified, state });
  await tryTo(deps, () => replaceDurably(pathOf(deps), `${text}\n`));
}

/** The next refusal is a new one. */
export async function forgetRefusal(deps: ArchiverDeps): Promise<void> {
  await tryTo(deps, () => removeDurably(pathOf(deps)));
}
