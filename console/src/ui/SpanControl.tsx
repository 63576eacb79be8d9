import { SegmentedControl } from "@mantine/core";
import { OVERVIEW_RANGES, type OverviewRange, SPANS } from "../rules/activity.ts";

/** The range of what happened, from the last hour on, minute by minute. */
export function SpanControl({
  value,
  onChange,
}: {
  value: OverviewRange;
  onChange: (range: OverviewRange) => void;
}) {
  return (
    <SegmentedControl
      className="range"
      aria-label="Range"
      data={OVERVIEW_RANGES.map((each) => ({ value: each, label: SPANS[each].label }))}
      value={value}
      onChange={(chosen) => onChange(chosen as OverviewRange)}
    />
  );
}
