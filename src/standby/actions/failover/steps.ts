import type { StepsOf } from '../../steps/step-table.ts';
import { finishingSteps } from './finishing-steps.ts';
import { openingSteps } from './opening-steps.ts';

/** The steps that turn a standby into a production server, by promotion or by recovery to a target. */
export const failoverSteps = { ...openingSteps, ...finishingSteps };

export type FailoverStep = StepsOf<typeof failoverSteps>;
