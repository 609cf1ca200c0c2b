"""A training run as one HTML file that needs no network: charts as SVG, images inside, readable on any screen."""
