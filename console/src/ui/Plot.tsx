import { useComputedColorScheme } from "@mantine/core";
import { useEffect, useRef } from "react";
import uPlot from "uplot";
import { alone, type Plot as PlotData } from "../rules/reports.ts";

/** One colour a line; each has 3:1 against its background. */
const COLORS = {
  light: ["#4263eb", "#c2410c", "#0f766e", "#a21caf", "#4d7c0f", "#475569"],
  dark: ["#91a7ff", "#fdba74", "#5eead4", "#f0abfc", "#bef264", "#cbd5e1"],
} as const;
const DASHES: readonly number[][] = [[], [6, 4], [2, 3], [10, 3], [8, 3, 2, 3], [1, 4]];
const DAY_S = 86_400;
/** The distances of dates below the plot: whole days. */
const DAYS = [1, 2, 5, 7, 14, 30].map((days) => days * DAY_S);

/**
 * Lines over time. The table on the page has the same numbers, so a reader of screens is sent there;
 * lines differ by their dashes as well as by their colours.
 */
export function Plot({
  data,
  label,
  format,
  hourly = false,
  small = false,
  most,
}: {
  data: PlotData;
  label: string;
  format: (value: number) => string;
  hourly?: boolean;
  /** One of several beside each other. */
  small?: boolean;
  /** The end of the scale, where values have one. */
  most?: number;
}) {
  const scheme = useComputedColorScheme("light");
  const box = useRef<HTMLDivElement>(null);
  const colors = COLORS[scheme];
  const color = (index: number) => colors[index % colors.length] ?? colors[0];
  const dash = (index: number) => DASHES[index % DASHES.length] ?? [];

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const ink = scheme === "dark" ? "#a6a6a6" : "#5b636b";
    const grid = scheme === "dark" ? "#3b3b3b" : "#e9ecef";
    const axis = { stroke: ink, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    const plot = new uPlot(
      {
        width: element.clientWidth,
        height: element.clientHeight,
        legend: { show: false },
        cursor: { drag: { x: false, y: false } },
        // Buckets begin at midnight UTC, so the axis is in UTC as well.
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
        series: [
          {},
          ...data.lines.map((line, index) => ({
            label: line.name,
            stroke: color(index),
            dash: dash(index),
            width: 2,
            points: { show: true, size: 6, filter: () => alone(line.values) },
          })),
        ],
        axes: [
          {
            ...axis,
            size: 32,
            ...(hourly ? {} : { incrs: DAYS }),
            values: hourly ? "{HH}:{mm}" : "{DD} {MMM}",
            space: 64,
          },
          { ...axis, size: 64, values: (_plot, ticks) => ticks.map(format) },
        ],
        scales: { y: { range: (_plot, _low, high) => [0, most ?? (high > 0 ? high * 1.1 : 1)] } },
      },
      [data.times, ...data.lines.map((line) => line.values)],
      element,
    );
    const watch = new ResizeObserver(() =>
      plot.setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    watch.observe(element);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
  });

  return (
    <>
      <div
        ref={box}
        className={small ? "plot small" : "plot"}
        role="img"
        aria-label={`${label}. The table has the numbers.`}
      />
      <ul className="legend">
        {data.lines.map((line, index) => (
          <li key={line.name}>
            <svg viewBox="0 0 16 4" aria-hidden="true">
              <path
                d="M0 2h16"
                stroke={color(index)}
                strokeWidth="3"
                strokeDasharray={dash(index).join(" ")}
              />
            </svg>
            {line.name}
          </li>
        ))}
      </ul>
    </>
  );
}
